"""Rules that make alerts: functions of the facts that give an alert, or nothing."""
