# The libraries on which a provider of cryptography for Noise stands, as targets. libsv2's own build
# and find_package(sv2) both use this file, and so look in the same places:
#
#   the target that the project names in SV2_SECP256K1_TARGET, SV2_OPENSSL_TARGET or
#   SV2_MBEDTLS_TARGET, defined before; else what pkg-config finds; and mbedTLS 2.28, which comes
#   without a file for pkg-config, among the system's libraries.

# Sets target, empty where there is none.
function(sv2_find_by_pkg_config target prefix module)
  set(${target} "" PARENT_SCOPE)
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET GLOBAL ${module})
    if(TARGET PkgConfig::${prefix})
      set(${target} PkgConfig::${prefix} PARENT_SCOPE)
    endif()
  endif()
endfunction()

function(sv2_find_mbedcrypto target)
  find_library(SV2_MBEDCRYPTO_LIBRARY mbedcrypto)
  find_path(SV2_MBEDTLS_INCLUDE_DIR mbedtls/version.h)
  mark_as_advanced(SV2_MBEDCRYPTO_LIBRARY SV2_MBEDTLS_INCLUDE_DIR)
  if(NOT SV2_MBEDCRYPTO_LIBRARY OR NOT SV2_MBEDTLS_INCLUDE_DIR)
    return()
  endif()
  if(NOT TARGET sv2::mbedcrypto)
    add_library(sv2::mbedcrypto UNKNOWN IMPORTED GLOBAL)
    set_target_properties(
      sv2::mbedcrypto PROPERTIES IMPORTED_LOCATION "${SV2_MBEDCRYPTO_LIBRARY}"
                                 INTERFACE_INCLUDE_DIRECTORIES "${SV2_MBEDTLS_INCLUDE_DIR}")
  endif()
  set(${target} sv2::mbedcrypto PARENT_SCOPE)
endfunction()

# library: secp256k1, openssl or mbedtls. Sets target, or target to nothing and missing to the reason.
function(sv2_find_noise_library target missing library)
  set(module_secp256k1 libsecp256k1)
  set(module_openssl "libcrypto>=3.0")
  set(module_mbedtls mbedcrypto)
  string(TOUPPER SV2_${library}_TARGET variable)
  set(found "${${variable}}")
  set(reason "")
  if(found)
    if(NOT TARGET ${found})
      set(reason "${variable} is ${found}, which is no target")
    endif()
  else()
    sv2_find_by_pkg_config(found sv2_pc_${library} "${module_${library}}")
    if(NOT found AND library STREQUAL "mbedtls")
      sv2_find_mbedcrypto(found)
    endif()
    if(NOT found)
      set(reason "${module_${library}} was not found: let pkg-config find it, or name a target in ${variable}")
    endif()
  endif()
  set(${target} "${found}" PARENT_SCOPE)
  if(reason)
    set(${missing} "${reason}" PARENT_SCOPE)
  endif()
endfunction()

# Sets sv2_secp256k1 and sv2_crypto to the targets that a provider (openssl or mbedtls) stands on,
# sv2_visibility to how it links them, and sv2_missing to what is missing, or to nothing.
macro(sv2_find_noise_libraries provider)
  set(sv2_missing "")
  sv2_find_noise_library(sv2_crypto sv2_missing ${provider})
  sv2_find_noise_library(sv2_secp256k1 sv2_missing secp256k1)
  # A user of the mbedTLS provider makes the curve's context and the random generator.
  set(sv2_visibility PRIVATE)
  if("${provider}" STREQUAL "mbedtls")
    set(sv2_visibility PUBLIC)
  endif()
endmacro()
