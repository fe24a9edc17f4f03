// Opens the description in Swagger UI. It stands in a file of its own, so that the page needs no inline script.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reader",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  showExtensions: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
