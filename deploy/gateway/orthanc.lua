-- Orthanc hands a study to the gateway once no image of it has come for a while (StableAge). Told twice, the gateway
-- diagnoses once. "heclstm" is the gateway's name in DicomModalities.
function OnStableStudy(studyId, tags, metadata)
  local job = { Resources = { studyId }, Synchronous = false }
  RestApiPost('/modalities/heclstm/store', DumpJson(job, true))
end

-- While the gateway is down, or its disk full, such jobs fail; every LuaHeartBeatPeriod seconds they are tried again.
function OnHeartBeat()
  for _, job in pairs(ParseJson(RestApiGet('/jobs?expand'))) do
    if job['State'] == 'Failure' and job['Type'] == 'DicomModalityStore' and job['Content']['RemoteAet'] == 'HECLSTM' then
      RestApiPost('/jobs/' .. job['ID'] .. '/resubmit', '')
    end
  end
end
