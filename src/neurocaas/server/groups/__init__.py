"""Who belongs to which group and may see what: memberships, roles, access, and the documents they are deployed from."""
