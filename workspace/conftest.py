"""Makes the two programs importable from wherever pytest is started, and says how many examples a property is tried with."""

import sys
from pathlib import Path

import hypothesis

sys.path.insert(0, str(Path(__file__).parent))

# As the gateway's tests have them, which may be run together with these. How fast an example is made says something of the
# machine, not of the code.
for _profile, _examples in (("suite", 100), ("soak", 10_000)):
    hypothesis.settings.register_profile(
        _profile, deadline=None, max_examples=_examples, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
hypothesis.settings.load_profile("suite")
