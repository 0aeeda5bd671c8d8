"""All attacks, by family."""

from __future__ import annotations

from attacks import endings, frames, lingering, network, patches, reads, resources, system, walks, writes
from attacks.attack import Attack

FAMILIES = {
    module.__name__.rpartition(".")[2]: (str(module.__doc__).strip(), tuple(module.ATTACKS))
    for module in (patches, walks, reads, writes, network, frames, resources, system, endings, lingering)
}
ATTACKS: dict[str, Attack] = {attack.name: attack for _, family in FAMILIES.values() for attack in family}
