"""Infrastructure as code: from a site's documents to a CloudFormation stack, and back to nothing but data."""
