"""What a study does besides its sweep: the tunings from which the arms of ``conf/sweep`` have their numbers."""
