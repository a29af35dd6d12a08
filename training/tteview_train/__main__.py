"""The entry point of `python -m tteview_train`."""

from .cli import main

raise SystemExit(main())
