"""The risk of stroke: features from the chart, models behind one port, RiskAssessments with their contributions."""
