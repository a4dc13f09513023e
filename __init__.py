"""Img Open for ComfyUI."""
