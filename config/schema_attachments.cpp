// schema_attachments: the rows of [attachments].
#include "config/schema.hpp"

#include <iterator>

namespace greenroom::config {
namespace {

constexpr auto restart = change::restart;

// RFC 9110 section 8.3.1, without parameters; or all of one type.
bool is_media_type(const std::string& text) {
  const auto slash = text.find('/');
  const auto is_token = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789!#$&^_.+-") == part.npos;
  };
  if (slash == std::string::npos || !is_token(std::string_view(text).substr(0, slash)))
    return false;
  const auto rest = std::string_view(text).substr(slash + 1);
  return rest == "*" || is_token(rest);
}

constexpr text_form media_type_form{is_media_type,
                                    "a media type in lower case (image/png, or image/* for all of a kind)"};

// The name of a key is the name of its member, so the two cannot drift apart.
#define AT(section, key) #section, #key, [](settings & s) -> slot { return &s.section.key; }

const field table[] = {
    {AT(attachments, max_mb), restart, "MiB", 0, 4'096, "Largest attachment. 0: nothing can be uploaded.",
     "Too low: people are refused with too_large. Too high: one file takes long to move with its room."},
    {AT(attachments, quota_mb), restart, "MiB", 1, 16'777'216,
     "What all attachments of one user may take, in all rooms together; begun uploads count in full.",
     "Too low: people are refused with too_large. Too high: one user can fill the disks."},
    {AT(attachments, types),
     restart,
     "types",
     0,
     256,
     "Media types that may be uploaded, each as type/subtype or type/*. Empty: any.",
     "One that is missing: its files are refused.",
     {},
     &media_type_form},
    {AT(attachments, chunk_kb), restart, "KiB", 16, 256,
     "Size of the pieces in which attachments are stored and replicated, one write each; holds for what is begun from "
     "then on.",
     "Too low: slow uploads. Too high: a message waits longer behind a piece."},
    {AT(attachments, unused_minutes), restart, "minutes", 1, 525'600,
     "How long after its beginning an upload goes that is not complete, or belongs to no message.",
     "Too low: slow uploads are lost. Too high: what nobody wants takes disk and quota."},
    {AT(attachments, transfers), restart, "transfers", 1, 4'096,
     "Uploads and downloads under way on this node at the same time; further ones are answered unavailable.",
     "Too low: people are refused. Too high: memory, two chunks each, and a busy link in a cluster."},
    {AT(attachments, queue), restart, "chunks", 1, 16'384,
     "Chunks of uploads that wait on this node for their turn on the disk; further ones are answered unavailable.",
     "Less than the transfers of all nodes: uploads are refused when all come at once. Too high: memory, a chunk "
     "each."},
    {AT(attachments, uploads_per_room), restart, "uploads", 1, 4'096,
     "Uploads into one room that it keeps in memory while it is active; of others the disk is asked with each chunk.",
     "Too low: many uploads into one room are slow. Too high: memory per room."},
};
#undef AT

} // namespace

std::span<const field> attachment_fields() { return table; }

} // namespace greenroom::config
