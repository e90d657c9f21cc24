"""How fast widefield recordings are split into localized components, at three sizes and on one and two cores."""
