"""The compute race: owners of AI chips against each other over years; `kolossos race`."""
