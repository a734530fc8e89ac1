# libsv2-noise and its providers, for CMakeLists.txt. csrc/noise/meson.build does the same.
include(${CMAKE_CURRENT_LIST_DIR}/sv2-noise-libraries.cmake)

# Stops where libsecp256k1 lacks what a provider calls. Only a library that is there can be asked: of
# one that the project itself builds, its linker says so.
function(sv2_check_secp256k1 option secp256k1)
  get_target_property(imported ${secp256k1} IMPORTED)
  if(NOT imported)
    return()
  endif()
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES ${secp256k1})
  check_c_source_compiles(
    "#include <secp256k1_ellswift.h>
     #include <secp256k1_schnorrsig.h>
     typedef void (*function)(void);
     int main(void)
     {
         function volatile used[2];
         used[0] = (function)secp256k1_ellswift_xdh;
         used[1] = (function)secp256k1_schnorrsig_sign32;
         return used[0] == used[1];
     }"
    SV2_SECP256K1_IS_COMPLETE)
  if(NOT SV2_SECP256K1_IS_COMPLETE)
    unset(SV2_SECP256K1_IS_COMPLETE CACHE) # the next run is to look again
    message(FATAL_ERROR "${option}: this libsecp256k1 was built without ElligatorSwift or without "
                        "Schnorr signatures: it needs its modules ellswift, extrakeys and schnorrsig")
  endif()
endfunction()

if(SV2_NOISE)
  sv2_library(sv2_noise noise sv2-noise ${sv2_noise_sources})
  target_link_libraries(sv2_noise PUBLIC sv2)
  list(APPEND sv2_noise_targets sv2_noise)
endif()

# Each provider is a library of its own, so that the rest depends on nothing.
foreach(sv2_provider openssl mbedtls)
  string(TOUPPER SV2_NOISE_${sv2_provider} sv2_option)
  if(NOT ${sv2_option})
    continue()
  endif()
  if(NOT SV2_NOISE)
    message(FATAL_ERROR "${sv2_option} needs SV2_NOISE")
  endif()
  sv2_find_noise_libraries(${sv2_provider})
  if(sv2_missing)
    message(FATAL_ERROR "${sv2_option}: ${sv2_missing}")
  endif()
  sv2_check_secp256k1(${sv2_option} ${sv2_secp256k1})
  set(sv2_target sv2_noise_${sv2_provider})
  sv2_library(${sv2_target} noise_${sv2_provider} sv2-noise-${sv2_provider} ${${sv2_target}_sources})
  target_link_libraries(${sv2_target} PUBLIC sv2_noise ${sv2_visibility} ${sv2_secp256k1} ${sv2_crypto})
  list(APPEND sv2_noise_targets ${sv2_target})
endforeach()

# Installed, they find libsv2 beside them, in a folder that the loader may not know.
set(sv2_origin $ORIGIN)
if(APPLE)
  set(sv2_origin @loader_path)
endif()
foreach(sv2_target IN LISTS sv2_noise_targets)
  set_property(TARGET ${sv2_target} APPEND PROPERTY INSTALL_RPATH ${sv2_origin})
endforeach()
