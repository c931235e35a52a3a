"""From documents to tokens: ``decide`` what stays and in which ``split``; ``stages`` write it, ``partial`` holds it."""
