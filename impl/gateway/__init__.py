"""The API gateway: HTTP to the services of logic, the page, and the documents."""
