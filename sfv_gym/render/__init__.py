"""Drawing: OpenGL without a screen, cameras, the renderer, the viewer's window, charts."""
