"""Where programs run: the check of their syntax (`check`), and the walls around their process (`process`).

`decompose` checks what a code LLM writes; an agent runs it. That is why this is a room of its own. A sandbox is handed
tools (`aotd.tools.toolbox`), and knows none by name.
"""
