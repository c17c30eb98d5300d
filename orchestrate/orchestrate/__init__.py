"""Meltano's schedules on Kubernetes: rendered, checked, applied and watched."""
