// founding: how a cluster comes to be, out of the store of one node; and waiting for an agreement, for programs that
// have no actors (`greenroom cluster ...`, and main before it starts any).
//
// Everything here blocks until the agreement has answered, which it does within its own limits. Not for its handlers.
//
// Founding may be broken off at any point and begun anew, with the same store: first the store gets its logs, then etcd
// the shards' records, the cluster's record with the last of them. Without that nobody joins.
#pragma once

#include "actors/cluster/agreement.hpp"
#include "actors/cluster/records.hpp"
#include "storage/store.hpp"

#include <string>

namespace greenroom::cluster {

/// As agreement::list and agreement::commit, and they fail as these do; of a commit that failed with unavailable it is
/// not known whether it was done.
outcome<listing> list_now(agreement& from, const std::string& prefix);
outcome<committed> commit_now(agreement& by, std::vector<condition> conditions, std::vector<change> changes);

/// What `greenroom cluster init` wrote; not_found: nobody has founded the cluster yet; bad_request:
/// the record can't be read; unavailable: etcd does not answer.
outcome<cluster_record> cluster_now(agreement& from, const record_keys& keys);

/// Whether the cluster may be founded with `first` as its only store; exists: it is founded already, or there are
/// records of another one. To be asked before found_store().
outcome<void> may_found(const listing& all, const record_keys& keys, const store_id& first);

/// Makes what a single node held the first state of a cluster. Fails with exists if the store has been in a cluster,
/// and as store::write() does.
outcome<void> found_store(storage::store& in);

/// Writes all records, epoch 1 with `first` as the primary, in transactions of 64. Fails as may_found() and agreement
/// do. An outcome that is not known is looked at, `attempts` times in all.
outcome<void> found_cluster(agreement& by, const record_keys& keys, const cluster_record& wished, const store_id& first,
                            unsigned attempts = 3);

} // namespace greenroom::cluster
