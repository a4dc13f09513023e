"""ComfyUI's nodes: schemas, and calls into the rooms above.

`fields`, `unit_fields`, `request_fields`, `tables` and `bodies` are plain data and run
anywhere; everything else imports ComfyUI and is itself imported only by `comfy_entrypoint`.
"""
