// documents: openapi.json and asyncapi.json of this folder, byte for byte. net/CMakeLists.txt makes documents.cpp from
// them, so that the program needs no file beside it.
#pragma once

#include <string_view>

namespace greenroom::net {

extern const std::string_view openapi_document;
extern const std::string_view asyncapi_document;

} // namespace greenroom::net
