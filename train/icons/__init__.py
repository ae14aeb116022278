"""The bundled model of icon scenes, from scratch, step by step."""
