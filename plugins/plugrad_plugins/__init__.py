"""Operator plugins that come with plugrad, written as a third party would write them."""
