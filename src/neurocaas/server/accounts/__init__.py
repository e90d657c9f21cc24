"""People: identities, sign-in, API tokens, joining a group, the audit log. Who may do what is in `groups`."""
