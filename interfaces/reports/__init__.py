"""Reports: what is known of one version, as a page, as a document and as PDF. They read as pages do and answer as the API does."""
