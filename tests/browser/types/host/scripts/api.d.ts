import type { ComfyApp } from "@comfyorg/comfyui-frontend-types";
export const api: ComfyApp["api"];
