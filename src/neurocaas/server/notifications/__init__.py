"""One message when a whole job has ended, by e-mail or to a webhook, as its user chose."""
