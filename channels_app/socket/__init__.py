"""The parts of one chat socket: who may open it, its one sender, the turns it follows, what its frames do."""
