"""Files that put the service on other machines: compose and Kubernetes manifests of the workers in `groups.toml`."""
