"""Where programs run: what they may say (`check`), what they may call (`tools`), and the walls (`process`).

`decompose` shows the tools to the code LLM and checks what it writes; `execute` runs it. That is why
this is a room of its own and not part of either.
"""
