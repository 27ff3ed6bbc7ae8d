"""What a network is, how it is trained and how it sees photos: frozen dataclasses, checked when they are made."""
