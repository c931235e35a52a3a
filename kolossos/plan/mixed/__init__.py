"""Clusters of several kinds of GPU: how one model is split over them."""
