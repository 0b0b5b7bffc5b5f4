"""Freeze: the feature extractor stays."""
