"""Thresholds that are promises: certified from labelled outcomes, or not certified and how many labels are missing."""

from countersign.thresholds.binomial import (
    Estimate,
    binomial_cdf,
    clopper_pearson,
    labels_needed,
    weighted_share,
)
from countersign.thresholds.certificate import Certificate, NotCertified, Promise, certify, certify_categories
from countersign.thresholds.curve import Point, curve, curves
from countersign.thresholds.grid import USUAL, Grid, spendable
from countersign.thresholds.words import certificate_words, promise_words

__all__ = [
    "USUAL",
    "Certificate",
    "Estimate",
    "Grid",
    "NotCertified",
    "Point",
    "Promise",
    "binomial_cdf",
    "certificate_words",
    "certify",
    "certify_categories",
    "clopper_pearson",
    "curve",
    "curves",
    "labels_needed",
    "promise_words",
    "spendable",
    "weighted_share",
]
