# The Noise programs of the test projects. KIND is "" or "_static", behind the names of the targets.
function(noise_program provider)
  string(TOUPPER NOISE_${provider} which)
  add_executable(noise_${provider} ${noise_tests}/../../cmake/noise.c)
  target_compile_definitions(noise_${provider} PRIVATE ${which})
  target_include_directories(noise_${provider} PRIVATE ${noise_tests})
  target_link_libraries(noise_${provider} PRIVATE sv2::noise_${provider}${KIND})
endfunction()

set(noise_tests ${CMAKE_CURRENT_LIST_DIR}/../c/noise)
add_executable(noise_core ${CMAKE_CURRENT_LIST_DIR}/noise_core.c)
target_link_libraries(noise_core PRIVATE sv2::noise${KIND})
