"""E-mail → Salesforce."""
