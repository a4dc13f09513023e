"""An HTTP server that speaks the Img Open API over an engine. See docs/gateway.md for its dialect."""
