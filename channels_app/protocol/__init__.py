"""The frames of `/ws/chat`, each as a typed model; the published JSON Schema is made from them."""
