"""Files of rows as people have them: read record by record, looked through, and made into what the service takes."""
