"""The steps before and after pmd on widefield recordings of three sizes, on one core and on two, beside wfield."""
