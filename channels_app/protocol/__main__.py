"""Print the protocol's JSON Schema: `python -m channels_app.protocol > docs/protocol.schema.json`."""

import json
import sys

from channels_app.protocol.schema import document

json.dump(document(), sys.stdout, indent=1, ensure_ascii=False)
sys.stdout.write("\n")
