"""How decoder directions lie to each other: neighbours, cosines, alignment with the basis."""
