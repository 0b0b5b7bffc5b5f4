"""Learning on a Ray cluster: the process that talks to it, and what runs there. Nothing else imports ray."""
