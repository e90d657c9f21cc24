"""The AWS account of a site: its infrastructure, declared and deployed, and the instances it supplies."""
