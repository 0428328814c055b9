"""Enrichment: does a feature promote or suppress a set of tokens?"""
