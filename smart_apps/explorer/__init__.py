"""The FHIR URL itself as a page: what a browser is shown of a resource, a search, a history, under the reader's own rights."""
