"""Discovery on etcd: leases that come back, watches that never end, and who is alive."""

from codegen.runtime.discovery.etcd import Etcd
from codegen.runtime.discovery.fixed import FixedInstances
from codegen.runtime.discovery.instances import Instance, Instances, register
from codegen.runtime.discovery.lease import Lease
from codegen.runtime.discovery.watch import Entry

__all__ = ["Entry", "Etcd", "FixedInstances", "Instance", "Instances", "Lease", "register"]
