"""How the processes of one run find each other: started here for one machine, or by ``torchrun`` for several."""
