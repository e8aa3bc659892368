"""Tests. Importing this turns the telemetry of libraries off, for tests that import one before anything of ours."""

import shared as shared
